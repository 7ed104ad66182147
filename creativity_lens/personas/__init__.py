"""Customer personas: who a model invents when it is left free, attribute by attribute, and how often the same.

After the persona experiment of "Creativity has left the chat" (arXiv 2406.05587), where an aligned model's customers
had three nationalities only. Texts are read by a tolerant grammar (English keys); how many could be read is reported.
"""

from creativity_lens.personas.measuring import (
    FEWEST_ATTRIBUTES,
    FEWEST_PERSONAS,
    AttributeSpread,
    Personas,
    load_persona_prompts,
    personas_of,
)
from creativity_lens.personas.parsing import parse_persona
from creativity_lens.personas.values import ATTRIBUTES

__all__ = [
    "ATTRIBUTES",
    "FEWEST_ATTRIBUTES",
    "FEWEST_PERSONAS",
    "AttributeSpread",
    "Personas",
    "load_persona_prompts",
    "parse_persona",
    "personas_of",
]
