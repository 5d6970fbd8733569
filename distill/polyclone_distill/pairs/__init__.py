"""From collections of judged programs to labelled pairs of two languages: readers, clusters, the pair builder."""
