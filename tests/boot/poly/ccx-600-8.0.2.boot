# Public capture of a CCX 600, 8.0.2.3267, over HTTP (diary of a provisioning project; date not recorded), which was to
# take another firmware: the names and their order are the phone's, the MAC is not. It ran with an APP_FILE_PATH that had
# the part number in it, hence the doubled name; the names after it are what our APP_FILE_PATH leads to. Where the files of
# CONFIG_FILES stand is from a capture of a SoundPoint IP 550, and which log is uploaded is inferred.
# The statuses are ours, for a proven phone, with an image of 9.4.1.0508 in the store as the default.
model: ccx-600
mac: 482567000600
firmware: 9.4.1.0508
user-agent: FileTransport PolyCCX-CCX_600-UA/8.0.2.3267 (SN:482567000600) Type/Application
GET {mac}.cfg 200
GET 3111-49770-001.3111-49770-001.sip.ld 404
GET 3111-49770-001.sip.ld 200
GET fw/9.4.1.0508/3111-49770-001.sip.ld 200
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET {mac}-license.cfg 404
GET {mac}-directory.xml 200
PUT {mac}-app.log 201
