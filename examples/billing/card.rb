# frozen_string_literal: true

module Billing
  # A payment card as the customer typed it.
  class Card
    def initialize(card_number)
      @card_number = card_number
    end

    # False for numbers that cannot be right; says nothing about the account behind them.
    def valid_card_number?
      digits = @card_number.delete(" -")
      return false unless digits.match?(/\A\d+\z/)
      return false if digits.length < 12 || digits.length > 19

      checksum = 0
      digits.reverse.each_char.with_index do |char, index|
        digit = char.to_i
        digit *= 2 if index.odd?
        digit -= 9 if digit > 9
        checksum += digit
      end
      checksum % 10 == 0
    end
  end
end
