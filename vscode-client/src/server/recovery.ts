/** How often a server that dies is started again before a person is asked. */

export class Recovery {
  private deaths: number[] = [];

  constructor(
    private readonly allowed = 4,
    private readonly windowMs = 180_000,
    private readonly now: () => number = Date.now,
  ) {}

  /** Notes a death; true if the server should be started again. */
  mayRestart(): boolean {
    const since = this.now() - this.windowMs;
    this.deaths = [...this.deaths.filter((at) => at > since), this.now()];
    return this.deaths.length <= this.allowed;
  }

  /** A person asked for a start: old deaths do not count against it. */
  forgive(): void {
    this.deaths = [];
  }
}
