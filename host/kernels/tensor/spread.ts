/** So many workgroups, in rows of at most 32,768: a dispatch is at most 65,535 wide. */
export function spread(groups: number): readonly [number, number, number] {
  return [Math.min(groups, 32_768), Math.ceil(groups / 32_768), 1];
}
