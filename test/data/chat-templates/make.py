"""Chat templates in the manner of the usual ones, and what `transformers` makes of conversations with them.

    pip install transformers==5.18.0 jinja2; python test/data/chat-templates/make.py
"""
import json
import pathlib
from transformers.utils.chat_template_utils import render_jinja_template

here = pathlib.Path(__file__).parent

templates = {
    "turns with tools": """\
{%- set ns = namespace(calls=0) %}
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "You may call these:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'system' and tools and loop.first %}
        {%- continue %}
    {%- endif %}
    {%- if message.role == 'assistant' and message.tool_calls %}
        {{- '<|im_start|>assistant\\n' + (message.content or '') }}
        {%- for call in message.tool_calls %}
            {%- set ns.calls = ns.calls + 1 %}
            {%- if not loop.first or message.content %}{{ '\\n' }}{% endif %}
            {{- '<call n="' ~ ns.calls ~ '">{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}
            {{- '}</call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<result>' + message.content | trim + '</result><|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
""",
    "headers": """\
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = 'None given' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + system_message + '<|eot_id|>' }}
{% for message in messages %}
    {%- if message['role'] not in ['user', 'assistant', 'tool'] %}
        {{- raise_exception('No role ' + message['role']) }}
    {%- endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ (message['content'] or '') | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "alternating": """\
{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}""",
    "instructions": """\
{%- for message in messages if message.role in ("user", "assistant") %}
  {%- if message.role == "user" %}
    {{- (bos_token if loop.first else "") ~ "[INST] " ~ message["content"] ~ " [/INST]" }}
  {%- else %}
    {{- " " ~ (message["content"] | default("", true)).strip() ~ eos_token }}
  {%- endif %}
{%- endfor %}
""",
    "plain": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
             "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
}
call = lambda name, **arguments: {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
conversations = {
    "one question": [{"role": "user", "content": "What is 2 + 2?"}],
    "with a system message": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "  Héllo 🦙 <|im_end|> \n"}],
    "several turns": [{"role": "user", "content": "a\n\nb"}, {"role": "assistant", "content": " c "}, {"role": "user", "content": "{{ d }}"}],
    "tools": [{"role": "system", "content": "S"}, {"role": "user", "content": "Weather?"},
              {"role": "assistant", "content": "Let me see.", "tool_calls": [call("weather", city="Zürich", days=[1, 2], metric=True, note=None), call("time")]},
              {"role": "tool", "content": "  sunny\n", "tool_call_id": "c1"}, {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "Thanks"}],
}
tools = [{"type": "function", "function": {"name": "weather", "description": 'Tells the "weather" <b>now</b>',
          "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "number", "maximum": 1.5}}}, "required": ["city"]}}}]
cases = []
for template, text in templates.items():
    for name, messages in conversations.items():
        for extra in ({"add_generation_prompt": True}, {"add_generation_prompt": False, "enable_thinking": False}, {"add_generation_prompt": True, "enable_thinking": False}):
            case = {"template": template, "conversation": name, "options": extra, "tools": name == "tools"}
            try:
                # A conversation's "c" and a template's own words are strings to it, whatever they look like.
                rendered, _ = render_jinja_template([messages], tools=tools if case["tools"] else None, chat_template=text,
                                                    bos_token="<s>", eos_token="</s>", **extra)
                case["text"] = rendered[0]
            except Exception as error:
                case["error"] = str(error)
            cases.append(case)
(here / "cases.json").write_text(json.dumps({"templates": templates, "conversations": conversations, "tools": tools, "cases": cases}, ensure_ascii=False, indent=1))
