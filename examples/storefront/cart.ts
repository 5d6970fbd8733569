export interface CartLine {
  sku: string;
  quantity: number;
  unitCents: number;
}

export interface Coupon {
  percent: number;
  minimumCents: number;
}

/** What the customer pays in cents: the best coupon applies, shipping is free from 50 euros on. */
export function totalDue(lines: readonly CartLine[], coupons: readonly Coupon[]): number {
  const goods = lines.reduce((sum, line) => sum + line.quantity * line.unitCents, 0);
  const best = coupons
    .filter((coupon) => goods >= coupon.minimumCents)
    .reduce((percent, coupon) => Math.max(percent, coupon.percent), 0);
  const discounted = goods - Math.floor((goods * best) / 100);
  const shipping = discounted >= 5000 || lines.length === 0 ? 0 : 495;
  return discounted + shipping;
}
