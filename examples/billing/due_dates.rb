# frozen_string_literal: true

require "date"
require "set"

module Billing
  # When invoices fall due.
  module DueDates
    module_function

    # Days from first to last, both included, on which the bank transfers money.
    def banking_days(first, last, closed_on = Set.new)
      total = 0
      current = first
      while current <= last
        open = !current.saturday? && !current.sunday? && !closed_on.include?(current)
        total += 1 if open
        current = current.next_day
      end
      total
    end
  end
end
