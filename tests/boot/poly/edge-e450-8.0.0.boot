# No capture of an Edge E is known: this is the order of a VVX 500, inferred. The User-Agent is from the notes of the
# project excaliburpartners; master file, CONFIG_FILES and both names of the firmware are in the maker's guides. The part
# number is made up: none is known, so that a phone gets its image by the name without one, as the model it says it is.
# The statuses are ours, for a proven phone, with an image of 8.3.1 in the store as the default.
model: edge-e450
mac: 482567000450
firmware: 8.3.1
user-agent: FileTransport PolyEdge-Edge_E450-UA/8.0.0.15602 Type/Application
GET {mac}.cfg 200
GET 3111-00000-001.sip.ld 404
GET sip.ld 200
GET fw/8.3.1/3111-00000-001.sip.ld 404
GET fw/8.3.1/sip.ld 200
GET {mac}-settings.cfg 200
GET {mac}-phone.cfg 404
GET {mac}-web.cfg 404
GET 000000000000-license.cfg 404
GET {mac}-license.cfg 404
GET {mac}-calls.xml 404
GET {mac}-directory.xml 200
HEAD {mac}-app.log 404
