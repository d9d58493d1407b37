import js from "@eslint/js";
import tseslint from "typescript-eslint";

/** Shape caps keep functions readable; review alone has never kept a mesh's translators small. */
const caps = {
  complexity: ["error", 10],
  "max-depth": ["error", 3],
  "max-params": ["error", 4],
  "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
  "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
};

const purity = [
  {
    selector: "MemberExpression[object.name='Date'][property.name='now']",
    message: "Time is an argument (house rule 8).",
  },
  {
    selector: "NewExpression[callee.name='Date'][arguments.length=0]",
    message: "Time is an argument (house rule 8).",
  },
  {
    selector: "MemberExpression[object.name='Math'][property.name='random']",
    message: "Chance is an argument (house rule 8).",
  },
  {
    selector: "MemberExpression[object.name='process'][property.name='env']",
    message: "Environment is an argument (house rule 8).",
  },
  { selector: "MemberExpression[object.name='console']", message: "Only runtime logs (house rule 8)." },
];
const noDefault = { selector: "ExportDefaultDeclaration", message: "Named exports only." };

/**
 * `pepr build` and `pepr deploy` lint the whole tree first and only warn about what they find. Typed lint of all of it
 * costs most of a minute, and `npm run check` has already refused what it would warn about, so Pepr is shown nothing
 * but the entry file, and no types of it.
 */
const calledByPepr = /[\\/]node_modules[\\/](\.bin[\\/])?pepr([\\/]|$)/.test(process.argv[1] ?? "");

export default tseslint.config(
  ...(calledByPepr ? [{ ignores: ["capabilities/**", "src/**", "hack/**", "test/**"] }] : []),
  {
    ignores: [
      "dist/**",
      "node_modules/**",
      "src/envoy/api/generated/**",
      "coverage/**",
      "hack/absent/**",
      "**/*.cjs",
      "**/*.mjs",
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        project: ["./tsconfig.test.json", "./src/cli/dashboard/page/tsconfig.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      ...caps,
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "no-restricted-syntax": ["error", noDefault],
    },
  },
  ...(calledByPepr ? [tseslint.configs.disableTypeChecked] : []),
  {
    files: ["src/**/*.ts", "capabilities/**/*.ts"],
    ignores: ["src/runtime/**", "src/cli/**"],
    rules: { "no-restricted-syntax": ["error", noDefault, ...purity] },
  },
  {
    // Markup: what is shown or not is a branch each, a component gives markup, and a handler's answer is nobody's.
    files: ["src/cli/dashboard/page/**/*.tsx"],
    rules: {
      complexity: ["error", 20],
      "max-lines-per-function": ["error", { max: 100, skipBlankLines: true, skipComments: true }],
      "@typescript-eslint/explicit-module-boundary-types": "off",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    },
  },
  {
    files: ["test/**/*.ts", "hack/**/*.ts"],
    rules: {
      "@typescript-eslint/no-unused-expressions": "off",
      "max-lines-per-function": "off",
      "max-lines": ["error", { max: 500, skipBlankLines: true, skipComments: true }],
    },
  },
);
