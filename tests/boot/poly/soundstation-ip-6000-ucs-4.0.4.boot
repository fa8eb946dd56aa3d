# Inferred: no list of a SoundStation IP is at hand. Names and order are those of the SoundPoint IP 670 with the same
# software (see there); the two User-Agents are a SoundStation IP 6000's (Wazo plugin), the first of its Updater.
# The statuses are ours, for a proven phone, without any firmware in the store: it keeps what it runs.
model: soundstation-ip-6000
user-agent: FileTransport PolycomSoundStationIP-SSIP_6000-UA/5.0.3.1667 Type/Updater
PUT {mac}-boot.log 201
user-agent: FileTransport PolycomSoundStationIP-SSIP_6000-UA/4.0.4.2906 Type/Application
GET {mac}.cfg 200
GET 3111-15600-001.sip.ld 404
GET sip.ld 404
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET 000000000000-license.cfg 404
GET {mac}-license.cfg 404
GET {mac}-directory.xml 200
GET 000000000000-directory.xml 404
PUT {mac}-app.log 201
