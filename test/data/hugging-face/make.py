"""Tiny random models of every family that is read, and the logits that `transformers` computes with them.

    pip install torch transformers==5.18.0 tokenizers safetensors; python test/data/hugging-face/make.py [family ...]
"""
import json
import pathlib
import sys
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers as pre, processors, trainers
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GemmaConfig, GemmaForCausalLM,
                          LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)

here = pathlib.Path(__file__).parent
text = ["once upon a time there was a little girl who had a red ball and a blue dog, and they played in the garden all day."] * 20
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(pattern, special, bos=None, normaliser=None):
    t = Tokenizer(models.BPE())
    if normaliser: t.normalizer = normaliser
    t.pre_tokenizer = pre.Sequence([pre.Split(Regex(pattern), "isolated"), pre.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    alphabet = [c for c in pre.ByteLevel.alphabet() if ord(c) < 127] + ["Ġ", "Ċ"]
    t.train_from_iterator(text, trainers.BpeTrainer(vocab_size=152, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    if bos: t.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=None, special_tokens=[(bos, t.token_to_id(bos))])
    return t


def sentence_piece(normaliser, special):
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    t.normalizer, t.pre_tokenizer = normaliser, pre.Metaspace(prepend_scheme="never")
    t.train_from_iterator(text, trainers.BpeTrainer(vocab_size=320, special_tokens=special + [f"<0x{b:02X}>" for b in range(256)], show_progress=False))
    state = json.loads(t.to_str())
    state["added_tokens"] = state["added_tokens"][:len(special)]
    state["pre_tokenizer"] = None
    t = Tokenizer.from_str(json.dumps(state))
    t.post_processor = processors.TemplateProcessing(single="<s> $A" if "<s>" in special else "<bos> $A", pair=None,
                                                     special_tokens=[(b, t.token_to_id(b)) for b in ("<s>", "<bos>") if b in special])
    return t


to_space = normalizers.Replace(" ", "▁")
gemma_special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
shape = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
             max_position_embeddings=64)

families = {
    "llama": (LlamaForCausalLM, LlamaConfig, lambda: byte_level(LLAMA3, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], "<|begin_of_text|>"),
              dict(rope_theta=500.0, rms_norm_eps=1e-5, tie_word_embeddings=False, rope_scaling=dict(
                  rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
              ("<|begin_of_text|>", "<|eot_id|>")),
    "mistral": (MistralForCausalLM, MistralConfig,
                lambda: sentence_piece(normalizers.Sequence([normalizers.Prepend("▁"), to_space]), ["<unk>", "<s>", "</s>"]),
                dict(sliding_window=6, tie_word_embeddings=False), ("<s>", "</s>")),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config,
              lambda: byte_level(LLAMA3.replace("{1,3}", ""), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, normalizers.NFC()),
              dict(head_dim=8, tie_word_embeddings=True, rope_theta=1000.0, use_sliding_window=False, rope_scaling=dict(
                  rope_type="yarn", factor=4.0, original_max_position_embeddings=16)), (None, "<|im_end|>")),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config,
              lambda: byte_level(LLAMA3.replace("{1,3}", ""), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, normalizers.NFC()),
              dict(tie_word_embeddings=True, rope_theta=1000.0), (None, "<|im_end|>")),
    "gemma": (GemmaForCausalLM, GemmaConfig, lambda: sentence_piece(to_space, gemma_special), {}, ("<bos>", "<eos>")),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config, lambda: sentence_piece(to_space, gemma_special),
               dict(sliding_window=6, query_pre_attn_scalar=16, attn_logit_softcapping=3.0, final_logit_softcapping=4.0), ("<bos>", "<eos>")),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, lambda: sentence_piece(to_space, gemma_special),
               dict(sliding_window=6, num_hidden_layers=3, query_pre_attn_scalar=16,
                    layer_types=["sliding_attention", "sliding_attention", "full_attention"],
                    rope_parameters=dict(full_attention=dict(rope_type="linear", factor=2.0, rope_theta=1000.0),
                                         sliding_attention=dict(rope_type="default", rope_theta=100.0))), ("<bos>", "<eos>")),
}
# The same as gemma3, with as many layers as it takes for programs that know no other pattern than every sixth.
families["gemma3-7"] = (*families["gemma3"][:3], dict(
    families["gemma3"][3], num_hidden_layers=7, layer_types=["sliding_attention"] * 5 + ["full_attention", "sliding_attention"]), families["gemma3"][4])


def make(family, folder):
    kind, configure, tokeniser, extra, (bos, eos) = families[family]
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(20261124)
    t = tokeniser()
    size = t.get_vocab_size() + 4  # rows that no token has, as real files have them
    ids = dict(bos_token_id=bos and t.token_to_id(bos), eos_token_id=t.token_to_id(eos), pad_token_id=None)
    config = configure(**{**shape, "vocab_size": size, **ids, **extra})
    config._attn_implementation = "eager"
    model = kind(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("norm.weight"): p.add_(torch.randn_like(p) * 0.2)
            elif p.dim() == 1: p.copy_(torch.randn_like(p) * 0.3)
            else: p.copy_(torch.randn_like(p) * (1.0 / p.shape[1] ** 0.5))
        sequences = [[1], torch.randint(3, size, (9,)).tolist(), torch.randint(3, size, (30,)).tolist()]
        expected = {}
        for k, ids in enumerate(sequences):
            expected[f"tokens.{k}"] = torch.tensor(ids, dtype=torch.int32)
            logits = model(torch.tensor([ids])).logits[0]
            expected[f"logits.{k}"] = logits[-6:].contiguous()
    model.save_pretrained(folder, safe_serialization=True)
    for extra_file in ("generation_config.json",): (folder / extra_file).unlink(missing_ok=True)
    save_file(expected, folder / "expected.safetensors")
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")))
    special = {"bos_token": bos, "eos_token": eos}
    sample = "once upon a time, the red dog"
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in special.items() if v}, indent=1))
    (folder / "sample.json").write_text(json.dumps({"text": sample, "ids": t.encode(sample).ids}))


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here
    for family in families if len(sys.argv) > 1 else [f for f in families if "-" not in f]:
        make(family, out / family)
