# No request of such a handset is known. The sequence is put together from public captures of two phones with UC Software 4,
# whose line the handset's software left: a SoundPoint IP 550 with 4.0.15 (CONFIG_FILES, -phone.cfg, -web.cfg, licences, a log
# at the end) and a SoundPoint IP 670 with 4.0.12 (firmware after the master file, directories after the licences). That a
# handset reads these files at all is in its administration guide, p. 44, 53, 130 and 155; the User-Agent tells nothing on
# purpose, because what it says is not known. The statuses are ours, for a proven phone, with an image in the store.
model: spectralink-8440
mac: 00907a0e7fe5
firmware: 5.1.0.123
user-agent: unknown
GET {mac}.cfg 200
GET fw/8440/5.1.0.123/3111-00000-001.sip.ld 404
GET fw/8440/5.1.0.123/sip.ld 200
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET 000000000000-license.cfg 404
GET {mac}-license.cfg 404
GET {mac}-directory.xml 200
GET 000000000000-directory.xml 404
PUT {mac}-app.log 201
