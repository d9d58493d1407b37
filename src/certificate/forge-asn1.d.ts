/** The one part of node-forge that is bundled; its types come from `@types/node-forge`. */
declare module "node-forge/lib/asn1" {
  import { asn1 } from "node-forge";
  export = asn1;
}
