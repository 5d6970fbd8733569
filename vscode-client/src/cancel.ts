/** A signal to give up, without the editor. */

/** The editor's cancellation token is one. */
export interface Cancel {
  readonly isCancellationRequested: boolean;
  onCancellationRequested(listener: () => void): { dispose(): void };
}

export class Stop implements Cancel {
  private requested = false;
  private readonly listeners = new Set<() => void>();

  get isCancellationRequested(): boolean {
    return this.requested;
  }

  onCancellationRequested(listener: () => void): { dispose(): void } {
    this.listeners.add(listener);
    return { dispose: () => this.listeners.delete(listener) };
  }

  /** Effect: tells those who listen, once. */
  request(): void {
    if (!this.requested) {
      this.requested = true;
      this.listeners.forEach((listener) => listener());
    }
  }
}

/** Answers like `work`; rejects as soon as nobody wants to wait for it any longer. */
export async function unlessCancelled<Value>(work: Promise<Value>, cancel: Cancel | undefined): Promise<Value> {
  let subscription: { dispose(): void } | undefined;
  const cancelled = new Promise<never>((_, reject) => {
    const giveUp = (): void => reject(new Error("Cancelled."));
    if (cancel?.isCancellationRequested) {
      giveUp();
    }
    subscription = cancel?.onCancellationRequested(giveUp);
  });
  try {
    return await Promise.race([work, cancelled]);
  } finally {
    subscription?.dispose();
  }
}
