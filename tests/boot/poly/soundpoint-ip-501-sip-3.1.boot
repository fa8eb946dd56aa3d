# Public test of a project, with the requests of a SoundPoint IP 450 of 25 January 2009: software of the time of SIP 3.1, boot
# loader 4.1, over HTTP. Names and order are that phone's, with the part number of its images left as it was sent; the
# SoundPoint IP 501 stands for it here, being of the family whose software ended at 3.1. The one file of that project in
# CONFIG_FILES stands for our -settings.cfg; the release's own files came after it there (sip.cfg, phone1.cfg), and here
# with the names of our master file. The list has no User-Agents: these are put together from that of a SoundPoint IP 335
# with 3.2.1, whose boot loader spoke first (Wazo plugin). Left out are pictures and the dictionary of a language.
# The statuses are ours, for a proven phone, without firmware in the store and without the maker's files in files/.
model: soundpoint-ip-501
user-agent: FileTransport PolycomSoundPointIP-SPIP_501-UA/4.1.2.0037
GET 2345-12450-001.bootrom.ld 404
GET {mac}.cfg 200
GET 2345-12450-001.sip.ld 404
PUT {mac}-boot.log 201
user-agent: FileTransport PolycomSoundPointIP-SPIP_501-UA/3.1.8.0070
GET 2345-12450-001.bootrom.ld 404
GET {mac}.cfg 200
GET 2345-12450-001.sip.ld 404
GET {mac}-settings.cfg 200
GET phone1_318.cfg 404
GET sip_318.cfg 404
GET {mac}-directory.xml 200
GET {mac}-phone.cfg 404
GET {mac}-directory.xml 200
PUT {mac}-app.log 201
