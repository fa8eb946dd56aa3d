"""Who tells which lines are registered: one adapter for each kind of registrar.

    opening       a platform → its source
      reg_event   SUBSCRIBE, Event: reg, for each address of record (RFC 3680)
      kamailio_rpc, asterisk_ami, freeswitch_esl   doors of their own
        door      where such a door is, and how it is trusted
    source        what all of them tell: Told, Everything, Silent, Untold

What they are told is bounded in size, and believed in nothing but in what it is about.
"""
