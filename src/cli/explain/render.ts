/** An explanation for people. */
import type { Case, Decider, Explanation, Step } from "./request";

const LABELS: Readonly<Record<Step["at"], string>> = {
  sidecar: "caller",
  outbound: "outbound",
  route: "route",
  split: "split",
  backend: "backend",
  identity: "identity",
  access: "access",
  egress: "egress",
  inbound: "inbound",
  terms: "also",
};

function decider({ object, field }: Decider): string {
  return field === undefined ? object : `${object}, ${field}`;
}

function row(label: string, text: string): string {
  return `  ${label.padEnd(9)} ${text}`;
}

function caseLines(one: Case): readonly string[] {
  const flag = one.flag === undefined ? "" : ` (response flag ${one.flag})`;
  return [
    ...one.steps.map(({ at, text }) => row(LABELS[at], text)),
    row("answer", `${one.sees}${flag}`),
    ...one.decides.map((each, index) => row(index === 0 ? "decides" : "", decider(each))),
  ];
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}

function heading(one: Case, index: number): string {
  const from = one.from === undefined ? "" : `, from ${one.from.join(", ")}`;
  return `${index + 1}. ${percent(one.share)} of such calls${from}: ${one.reached ? "delivered" : "not delivered"}`;
}

const VERDICTS = { delivered: "YES", refused: "NO", partly: "PARTLY" } as const;

/** The whole answer, as lines. */
export function renderExplanation(explanation: Explanation): string {
  const { from, to, request, verdict, summary, cases, granted, notes } = explanation;
  const several = cases.length > 1;
  return [
    `${from} → ${to}: ${request}`,
    `${VERDICTS[verdict]}: ${summary}`,
    "",
    ...cases.flatMap((one, index) => [
      ...(several ? [heading(one, index)] : []),
      ...caseLines(one),
      ...(several && index < cases.length - 1 ? [""] : []),
    ]),
    ...(granted.length === 0 ? [] : ["", "This caller may send:", ...granted.map(text => `  ${text}`)]),
    ...(notes.length === 0 ? [] : ["", "Assumed:", ...notes.map(text => `  ${text}`)]),
  ].join("\n");
}
