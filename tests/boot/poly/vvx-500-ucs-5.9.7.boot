# Public capture of a VVX 500, UC Software 5.9.7, over HTTP (log of a FreePBX provisioning module; date not recorded).
# Order and User-Agents are the phone's. It ran with APP_FILE_PATH="3111-44500-001.sip.ld", hence the doubled name; the
# name after it is what a phone asks next (capture of a CCX 600) and what our APP_FILE_PATH leads to. The capture had no
# CONFIG_FILES: where they stand is from a capture of a SoundPoint IP 550, UC Software 4.0.15.
# The statuses are ours, for a proven phone, with a 5.9.7 image for 3111-44500-001 in the store as the default.
model: vvx-500
firmware: 5.9.7
user-agent: FileTransport PolycomVVX-VVX_500-UA/5.9.7.47435 Type/Updater
PUT {mac}-boot.log 201
user-agent: FileTransport PolycomVVX-VVX_500-UA/5.9.7.4477 Type/Application
GET {mac}.cfg 200
GET 3111-44500-001.3111-44500-001.sip.ld 404
GET 3111-44500-001.sip.ld 200
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET 000000000000-license.cfg 404
GET {mac}-license.cfg 404
GET {mac}-calls.xml 404
GET {mac}-directory.xml 200
GET 000000000000-directory.xml 404
HEAD {mac}-app.log 404
