"""Packets: texts rated blind by people, one page for each rater, and what comes back."""

from creativity_lens.packets.collecting import Collected, collect_answers
from creativity_lens.packets.items import Material, items_of_file, items_of_run
from creativity_lens.packets.making import make_packet
from creativity_lens.packets.packet import Packet
from creativity_lens.packets.parts import Item

__all__ = ["Collected", "Item", "Material", "Packet", "collect_answers", "items_of_file", "items_of_run", "make_packet"]
