"""The toolkit that trains, distils and evaluates the encoders polyclone ships."""
