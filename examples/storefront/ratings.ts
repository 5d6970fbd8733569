export interface Review {
  stars: number;
  verified: boolean;
}

/** Mean of the stars, to one decimal place; verified buyers count twice. */
export function averageStars(reviews: readonly Review[]): number | undefined {
  let weighted = 0;
  let weights = 0;
  for (const review of reviews) {
    if (review.stars < 1 || review.stars > 5) continue;
    const weight = review.verified ? 2 : 1;
    weighted += review.stars * weight;
    weights += weight;
  }
  if (weights === 0) return undefined;
  return Math.round((weighted / weights) * 10) / 10;
}
