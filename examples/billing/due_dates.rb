# frozen_string_literal: true

require "date"
require "set"

module Billing
  # When invoices fall due.
  module DueDates
    module_function

    # Days between two dates, both included, on which the bank transfers money.
    def count_business_days(from, to, holidays = Set.new)
      days = 0
      day = from
      while day <= to
        weekend = day.saturday? || day.sunday?
        days += 1 unless weekend || holidays.include?(day)
        day = day.next_day
      end
      days
    end
  end
end
