/**
 * Header in which an inbound listener says through which gate a request goes. Set by the listener over whatever the caller
 * sent, and taken off before the application sees the request.
 */
export const CALLER_GATE_HEADER = "osm-caller-gate";
