"""The recipe of pocket-base and pocket-chat: public text in, two small Llama models out.

Run it from the folder above, in this order: `python -m recipe.prepare`, `recipe.tokenizer`, `recipe.pretrain`,
`recipe.finetune`, `recipe.evaluate`. `--help` lists every option; the exact commands are in the model card (README.md).
Needs creativity-lens installed and nothing more.
"""
