# Public capture of a CCX 500, 9.4.1.0508, over HTTP (the same diary as for the CCX 600), which was up to date and asked
# for no firmware. Names and order are the phone's, the MAC is not. It had one file without CONFIG_FILES: where they stand
# is from a capture of a SoundPoint IP 550, and which log is uploaded is inferred.
# The statuses are ours, for a proven phone.
model: ccx-500
mac: 482567000500
user-agent: FileTransport PolyCCX-CCX_500-UA/9.4.1.0508 (SN:482567000500) Type/Application
GET {mac}.cfg 200
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET {mac}-license.cfg 404
GET {mac}-directory.xml 200
PUT {mac}-app.log 201
