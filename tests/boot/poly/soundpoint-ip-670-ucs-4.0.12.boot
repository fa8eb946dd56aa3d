# Public notes on a SoundPoint IP 670, UC Software 4.0.12, with the log of its TFTP server (date not recorded). It booted
# twice, because its configuration had changed; names and order are the phone's. There 000000000000.cfg came after a 404 for
# {mac}.cfg. Where CONFIG_FILES stand is from the log of a SoundPoint IP 550, UC Software 4.0.15. TFTP has no User-Agent:
# this one is put together from that of the 550 and the version in the notes, with a build that was not recorded.
# Left out are the sounds and pictures of the maker's package, of which we have none.
# The statuses are ours, for a proven phone, over HTTP, with a 4.0.12 image for 2345-12670-001 in the store as the default.
model: soundpoint-ip-670
firmware: 4.0.12
user-agent: FileTransport PolycomSoundPointIP-SPIP_670-UA/4.0.12.0926 Type/Application
PUT {mac}-app.log 201
GET {mac}.cfg 200
GET 2345-12670-001.sip.ld 200
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET 000000000000-license.cfg 404
GET {mac}-license.cfg 404
GET {mac}-directory.xml 200
GET 000000000000-directory.xml 404
GET {mac}.cfg 200
GET 2345-12670-001.sip.ld 200
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET 000000000000-license.cfg 404
GET {mac}-license.cfg 404
PUT {mac}-boot.log 201
PUT {mac}-app.log 204
