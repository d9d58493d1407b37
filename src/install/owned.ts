import type { InstallSettings } from "./names";
import { MANAGER_MESH, MANAGER_PEPR } from "./names";
import { meshConfigPolicy } from "./mesh-config-policy";
import type { InstallObject } from "./object";
import { bindingOf } from "./policy-binding";
import { adsService, disruptionBudget, viewerAccount, webhookService } from "./services";
import { sidecarPolicy } from "./sidecar-policy";
import type { WebhookMaterial } from "./webhooks";
import { injectionWebhook, validationWebhook } from "./webhooks";

/** An object that the watcher keeps as it should be, and under whose name it is applied. */
export interface OwnedObject {
  readonly object: InstallObject;
  readonly manager: string;
}

/** The refusal of bare pods and of a lost MeshConfig; applied first of all and by whichever pod comes first. */
export function guards(settings: InstallSettings): readonly OwnedObject[] {
  return [sidecarPolicy(settings), meshConfigPolicy(settings)]
    .flatMap(policy => [policy, bindingOf(policy)])
    .map(object => ({ object, manager: MANAGER_MESH }));
}

/** Everything the watcher applies at start and repairs whenever it drifts or disappears, in order of application. */
export function ownedObjects(settings: InstallSettings, material: WebhookMaterial): readonly OwnedObject[] {
  return [
    ...guards(settings),
    ...[
      adsService(settings),
      webhookService(settings),
      disruptionBudget(settings),
      viewerAccount(settings),
    ].map(object => ({ object, manager: MANAGER_MESH })),
    { object: injectionWebhook(settings, material), manager: MANAGER_PEPR },
    { object: validationWebhook(settings, material), manager: MANAGER_PEPR },
  ];
}
