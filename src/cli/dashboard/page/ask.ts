import { useEffect, useState } from "preact/hooks";

/** What was heard last, and what went wrong since. */
export interface Heard<T> {
  readonly value: T | undefined;
  readonly error: string | undefined;
}

/** Asks the command that serves this page. Rejects with its words. */
export async function ask<T>(name: string, query = ""): Promise<T> {
  const response = await fetch(`api/${name}${query === "" ? "" : `?${query}`}`);
  const body = (await response.json()) as T & { readonly error?: string };
  if (!response.ok) throw new Error(body.error ?? `answer ${response.status}`);
  return body;
}

/** Asks again and again while the page is seen. */
export function useAsked<T>(name: string, everyMs: number): Heard<T> {
  const [heard, setHeard] = useState<Heard<T>>({ value: undefined, error: undefined });
  useEffect(() => {
    let timer = 0;
    let over = false;
    const look = async (): Promise<void> => {
      if (!document.hidden) {
        const next = await ask<T>(name).then(
          value => ({ value, error: undefined }),
          (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
        );
        if (!over) setHeard(before => ({ ...before, ...next }));
      }
      if (!over) timer = window.setTimeout(() => void look(), everyMs);
    };
    void look();
    return () => {
      over = true;
      window.clearTimeout(timer);
    };
  }, [name, everyMs]);
  return heard;
}
