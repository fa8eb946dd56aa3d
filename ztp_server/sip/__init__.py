"""A SIP user agent that asks and is told, and never calls: OPTIONS, NOTIFY and SUBSCRIBE over UDP, TCP and TLS.

    user_agent        what the rest of the program uses: request, options, notify, subscribe → outcomes as data
      subscription    a subscription kept alive (RFC 6665); subscribe_call is its dialog
      requester       one request with its Digest round (digest) to a final response
      inbound         requests that come to us, answered; server_transactions answers repeated ones again
      client_transactions   retransmission and timeouts (RFC 3261, section 17.1.2)
      transports      udp, stream (TCP, TLS; framing)
      message         bytes ↔ messages, bounded; addresses, outcome, clock: plain parts
    reginfo           who is registered (RFC 3680)
    sources/          who tells a platform's registrations: by subscription, or at a registrar's own door

What comes over the network is bounded in memory and time, and raises nothing out of the loops that receive it.
"""
