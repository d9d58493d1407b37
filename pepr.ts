import { PeprModule } from "pepr";
import { capabilities } from "./capabilities";
import cfg from "./package.json";
import { NO_ACTIONS } from "./src/runtime/control-plane/actions";
import { endWith, startInCluster } from "./src/runtime/main";
import { roleOf } from "./src/runtime/role";

/** Constructs the module only when the control plane stands, so that Pepr's health check is our readiness. */
async function main(): Promise<void> {
  const role = roleOf(process.env);
  if (role === "build") {
    new PeprModule(cfg, capabilities(NO_ACTIONS));
    return;
  }
  const plane = await startInCluster(role, process.env, cfg.version);
  new PeprModule(cfg, capabilities(plane.actions));
  plane.constructed();
}

main().catch(endWith);
