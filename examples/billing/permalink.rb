# frozen_string_literal: true

module Billing
  # Names of documents as they appear in addresses.
  module Permalink
    LIMIT = 80

    module_function

    # "Crème brûlée, 2 pcs." => "creme-brulee-2-pcs"
    def slugify(title)
      plain = title.unicode_normalize(:nfd).gsub(/\p{Mn}/, "")
      words = plain.downcase.gsub(/[^a-z0-9]+/, "-")
      words = words.gsub(/\A-+|-+\z/, "")
      return "untitled" if words.empty?

      words[0, LIMIT].sub(/-+\z/, "")
    end
  end
end
