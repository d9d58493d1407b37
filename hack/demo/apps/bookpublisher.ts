import { APP_PORT, type Environment } from "./settings";
import { serve } from "./web";

/** A program outside the mesh: what the mesh's own call when they may leave it, and from where the mesh is knocked at. */
export async function bookpublisher(_env: Environment, log: (line: string) => void): Promise<void> {
  await serve(APP_PORT, {
    "/": () => ({ body: { titles: ["The Sidecar and the Sea", "One Hundred Years of Latitude"] } }),
  });
  log("bookpublisher shows its titles to everybody");
}
