/** Files that the bundler turns into values: shader text, and Wasm bytes embedded in the JavaScript. */
declare module '*.wgsl' {
  const text: string;
  export default text;
}
declare module '*.wasm' {
  const bytes: Uint8Array;
  export default bytes;
}
