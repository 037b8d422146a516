// Rows of a table of weights, one for each id, as f32; rows on workgroup_id.y. The numbers of formats are those of host/kernels/tensor/weight-formats.ts.
override WORKGROUP_SIZE: u32 = 64u;

struct Params {
  step: u32,
  rows: u32,
  width: u32,
  tableRows: u32,
  format: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn byteAt(row: u32, i: u32) -> i32 {
  return i32(table[row + (i >> 2u)] << (24u - 8u * (i & 3u))) >> 24u;
}

fn nibble(row: u32, i: u32) -> u32 {
  let word = table[row + 4u * (i >> 5u) + ((i & 7u) >> 1u)];
  return (word >> (16u * (i & 1u) + 4u * ((i & 31u) >> 3u))) & 15u;
}

fn weightAt(id: u32, i: u32) -> f32 {
  let inner = params.width;
  switch params.format {
    case 0u: {
      return bitcast<f32>(table[id * inner + i]);
    }
    case 1u: {
      return unpack2x16float(table[id * (inner / 2u) + i / 2u])[i & 1u];
    }
    case 2u: {
      return bitcast<f32>((table[id * (inner / 2u) + i / 2u] >> (16u * (i & 1u))) << 16u);
    }
    case 3u: {
      let row = id * (inner / 32u) * 9u;
      return f32(byteAt(row, i)) * bitcast<f32>(table[row + inner / 4u + i / 32u]);
    }
    case 4u: {
      let row = id * (inner / 32u) * 5u;
      return f32(i32(nibble(row, i) << 28u) >> 28u) * bitcast<f32>(table[row + inner / 8u + i / 32u]);
    }
    case 5u: {
      let row = id * (inner / 256u) * 38u;
      let head = row + inner / 8u + 6u * (i / 256u);
      let part = (i / 32u) & 7u;
      let scale = bitcast<f32>(table[head]) * f32(byteAt(head + 2u, part) & 255);
      return scale * f32(nibble(row, i)) - bitcast<f32>(table[head + 1u]) * f32(byteAt(head + 4u, part) & 255);
    }
    default: {
      let row = id * (inner / 256u) * 69u;
      let head = row + inner / 4u + 5u * (i / 256u);
      return bitcast<f32>(table[head]) * f32(byteAt(head + 1u, (i / 16u) & 15u)) * f32(byteAt(row, i));
    }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gatherRows(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  if (id.x >= params.width) {
    return;
  }
  let row = ids[group.y];
  var value = 0.0;
  if (row < params.tableRows) {
    value = weightAt(row, id.x) * params.scale;
  }
  out[group.y * params.width + id.x] = value;
}
