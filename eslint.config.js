import tseslint from 'typescript-eslint';

const typescript = ['**/*.ts'];

/** A default export has no name of its own; tools that demand one are listed where this is switched off. */
const noDefaultExport = {
  'no-restricted-syntax': [
    'error',
    { selector: 'ExportDefaultDeclaration', message: 'Export it by name.' },
    { selector: 'ExportSpecifier[exported.name="default"]', message: 'Export it by name.' },
  ],
};

/** ESLint's own rules that find mistakes and that the type checker does not cover. */
const correctness = {
  'no-constant-condition': ['error', { checkLoops: false }],
  'no-control-regex': 'error',
  'no-empty': ['error', { allowEmptyCatch: true }],
  'no-fallthrough': 'error',
  'no-loss-of-precision': 'error',
  'no-self-assign': 'error',
  'no-self-compare': 'error',
  'no-sparse-arrays': 'error',
  'no-unsafe-finally': 'error',
  'no-useless-escape': 'error',
  'no-var': 'error',
};

export default tseslint.config(
  { ignores: ['dist/', 'build/', 'coverage/', 'assembly/', 'node_modules/', 'test-results/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  ...tseslint.configs.recommendedTypeChecked.map((config) => ({ ...config, files: typescript })),
  {
    files: typescript,
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      ...noDefaultExport,
      eqeqeq: ['error', 'always'],
      'no-console': 'error',
      ...correctness,
      // A `let` that a closure reads before its one assignment cannot be a `const`.
      'prefer-const': ['error', { ignoreReadBeforeAssign: true }],
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': ['error', { allowTypedFunctionExpressions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }],
      // Indexing a typed array within its bounds is what this code does all day; `!` says so.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Objects here are records of closures: their methods use no `this`, and messages may print any bad value they were given.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-base-to-string': 'off',
      // A function of an async interface need not await anything, and throws as a rejection all the same.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    // Programs that talk to a terminal.
    files: ['host/cli/**', 'bench/**', 'models/**', 'examples/**', 'rtl/**', 'test/run.mjs', 'build.mjs'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['**/*.test.ts', 'test/**/*.ts'],
    rules: {
      // Expectations over JSON, page.evaluate and the like.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
  { files: ['**/*.{js,mjs}'], rules: { ...noDefaultExport, ...correctness, 'prefer-const': 'error' } },
  { files: ['eslint.config.js', 'vitest.config.ts', '**/*.d.ts'], rules: { 'no-restricted-syntax': 'off' } },
);
