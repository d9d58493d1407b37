/** A stranger in a pod of its own, who tries ports of others. */
import { answerParent } from "./pod-process";
import { scan, type ScanOperations } from "./port-scan";

const operations: ScanOperations = { scan };
answerParent(operations);
