import { pack } from "../any";
import type { ListenerFilter } from "../api/generated/envoy/config/listener/v3/listener_components";
import { OriginalDst } from "../api/generated/envoy/extensions/filters/listener/original_dst/v3/original_dst";

/** Finds out what the caller dialled. First of all listener filters: those behind it may depend on the port. */
export const ORIGINAL_DESTINATION: ListenerFilter = {
  name: "envoy.filters.listener.original_dst",
  configType: { $case: "typedConfig", value: pack(OriginalDst, {}) },
};
