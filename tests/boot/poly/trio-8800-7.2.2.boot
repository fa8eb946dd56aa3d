# No capture of a Trio is known: this is the order of a VVX 500, inferred. The User-Agent is from the test data of a public
# project, with a serial number that is no MAC; the part number is that of the image in the maker's 5.7.1 package.
# The statuses are ours, for a proven phone, without any firmware in the store: it keeps what it runs.
model: trio-8800
mac: 64167f008800
user-agent: FileTransport PolycomRealPresenceTrio-Trio_8800-UA/7.2.2.1094 (SN:12345) Type/Application
GET {mac}.cfg 200
GET 3111-65290-001.sip.ld 404
GET sip.ld 404
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET 000000000000-license.cfg 404
GET {mac}-license.cfg 404
GET {mac}-calls.xml 404
GET {mac}-directory.xml 200
HEAD {mac}-app.log 404
