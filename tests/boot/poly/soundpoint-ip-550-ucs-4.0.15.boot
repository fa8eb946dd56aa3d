# Public log of a SoundPoint IP 550, UC Software 4.0.15, over HTTPS with a client certificate (in the source of a mutual TLS
# provisioning server; date not recorded). There {mac}.cfg was 404 and 000000000000.cfg came after it, whose one file in
# CONFIG_FILES ended in -user.cfg; our file of a proven phone is there, and its own ends in -settings.cfg. No image is
# asked for in that log: what the phone asks when APP_FILE_PATH is sip.ld is in the log of the SoundPoint IP 670.
# The statuses are ours, for a proven phone, over HTTP. -phone.cfg, -web.cfg and the licences were 404 there as well, and so
# was the log.
model: soundpoint-ip-550
user-agent: FileTransport PolycomSoundPointIP-SPIP_550-UA/4.0.15.1047 (SN:0004f2aabbcc) Type/Application
GET {mac}.cfg 200
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET 000000000000-license.cfg 404
PUT {mac}-app.log 201
