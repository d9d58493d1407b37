/** The attacker of floods, in a process of its own. */
import { answerParent } from "./child-program";
import * as floods from "./flood-operations";
import * as herds from "./herd-operations";

/** What it can be told to do. */
export type Flooder = typeof floods & typeof herds;

answerParent({ ...floods, ...herds });
