import type { ChildProcess } from "node:child_process";
import path from "node:path";
import type { NetworkPod } from "./netns";
import type { Operations } from "./pod-operations";

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Starts the test application in a pod; every operation runs there. */
export function startApp(pod: NetworkPod): Operations {
  return startProgram(pod, "pod-app.ts") as Operations;
}

/** Starts a program of this folder in a pod. It answers operations as {@link answerParent} does. */
export function startProgram(pod: NetworkPod, file: string): object {
  const child: ChildProcess = pod.start([process.execPath, "--import", "tsx", path.join(__dirname, file)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: { ...process.env, TEST_POD: pod.name, NODE_OPTIONS: "" },
  });
  const waiting = new Map<number, Waiting>();
  let next = 0;
  child.on("message", (reply: Reply) => {
    const caller = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (reply.error === undefined) caller?.resolve(reply.value);
    else caller?.reject(new Error(`${pod.name}: ${reply.error}`));
  });
  child.on("exit", code => {
    for (const { reject } of waiting.values())
      reject(new Error(`application of ${pod.name} ended with ${code}`));
    waiting.clear();
  });
  const call = (operation: string, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      next += 1;
      waiting.set(next, { resolve, reject });
      child.send({ id: next, operation, args });
    });
  return new Proxy(
    {},
    {
      get:
        (_target, operation) =>
        (...args: unknown[]) =>
          call(String(operation), args),
    },
  );
}

/** The other end of {@link startProgram}: runs operations for the parent process until that is gone. */
export function answerParent(operations: object): void {
  process.on("message", (message: { id: number; operation: keyof typeof operations; args: never[] }) => {
    const run = operations[message.operation] as (...args: never[]) => Promise<unknown>;
    run(...message.args).then(
      value => process.send?.({ id: message.id, value }),
      (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
    );
  });
  process.on("disconnect", () => process.exit(0));
}
