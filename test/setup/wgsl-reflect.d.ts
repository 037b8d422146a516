/** The package's ESM file; its `main` is CommonJS that Node takes for ESM. */
declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export * from 'wgsl_reflect';
}
