# frozen_string_literal: true

module Billing
  # Plain-text invoices for the archive.
  class Invoice
    Line = Struct.new(:label, :quantity, :unit_cents, keyword_init: true)

    def initialize(lines, tax_percent:)
      @lines = lines
      @tax_percent = tax_percent
    end

    def render(width = 60)
      rows = @lines.map do |line|
        amount = format("%.2f", line.quantity * line.unit_cents / 100.0)
        label = "#{line.quantity} x #{line.label}"
        label.ljust(width - amount.length, ".") + amount
      end
      net = @lines.sum { |line| line.quantity * line.unit_cents }
      tax = net * @tax_percent / 100
      rows << "-" * width
      rows << "Total incl. #{@tax_percent}% tax: #{format('%.2f', (net + tax) / 100.0)}".rjust(width)
      rows.join("\n")
    end
  end
end
