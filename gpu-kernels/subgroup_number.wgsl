// Subgroups of a workgroup number themselves, so that nothing depends on how invocations are dealt to subgroups or on their size (4 to 128).
var<workgroup> subgroupCount: atomic<u32>;

/** Of the subgroup of whoever asks; every invocation does, once. */
fn subgroupNumber() -> u32 {
  var number = 0u;
  if (subgroupElect()) {
    number = atomicAdd(&subgroupCount, 1u);
  }
  return subgroupBroadcastFirst(number);
}
