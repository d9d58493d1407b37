import type { Clock, Log } from "../ports";

/** A step of the start that did not come to its end in time. */
export class StepTimeout extends Error {
  constructor(step: string, ms: number) {
    super(`${step}: not done after ${ms / 1_000} s`);
    this.name = "StepTimeout";
  }
}

/** Runs one step of the start, within a time, and logs how long it took. Rejects with {@link StepTimeout} or its error. */
export async function step<T>(
  name: string,
  run: () => Promise<T>,
  around: { readonly clock: Clock; readonly log: Log; readonly ms: number },
): Promise<T> {
  const { clock, log, ms } = around;
  const begun = clock.now();
  let timer: { cancel(): void } | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = clock.setTimeout(() => {
      reject(new StepTimeout(name, ms));
    }, ms);
  });
  try {
    const value = await Promise.race([run(), late]);
    log.info("start", { step: name, ms: clock.now() - begun });
    return value;
  } finally {
    timer?.cancel();
  }
}

/** Waits, at most as long as the step around it allows, until something holds. */
export async function until(clock: Clock, everyMs: number, holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise<void>(resolve => clock.setTimeout(resolve, everyMs));
}
