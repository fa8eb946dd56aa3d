# Public upgrade diary of a VVX 400 at its first boot, UC Software 5.5.2, over HTTP (5.5.2 speaks TLS 1.0 only; date not
# recorded). Captured are the two names of the firmware, in this order; master and settings file stand where every UC
# Software phone asks for them. The User-Agent is put together from the pattern of a VVX 500 and the build of 5.5.2.
# The statuses are ours, for a proven phone, without any firmware in the store: it keeps what it runs.
model: vvx-400
user-agent: FileTransport PolycomVVX-VVX_400-UA/5.5.2.8571 Type/Application
GET {mac}.cfg 200
GET 3111-46157-002.sip.ld 404
GET sip.ld 404
GET {mac}-settings.cfg 200
