# frozen_string_literal: true

module Billing
  # A payment card as the customer typed it.
  class Card
    LENGTHS = (12..19)

    def initialize(number)
      @number = number
    end

    # False for numbers that cannot be right; says nothing about the account behind them.
    def plausible?
      compact = @number.delete(" -")
      return false unless compact.match?(/\A\d+\z/)
      return false unless LENGTHS.cover?(compact.length)

      total = compact.reverse.each_char.with_index.sum do |char, index|
        value = char.to_i
        value *= 2 if index.odd?
        value > 9 ? value - 9 : value
      end
      (total % 10).zero?
    end
  end
end
