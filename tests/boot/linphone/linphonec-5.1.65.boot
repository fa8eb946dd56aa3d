# Capture of linphonec 5.1.65 (Debian 12, linphone-cli 5.1.65-4) over HTTPS, November 2026: two starts with a new
# configuration of two entries, config-uri and root_ca. It asks for the one name, and on its first start does not say who
# it is. (The second start says From: with the address of its first account as well.)
model: linphone-cli
mac: 020000aabbcc
user-agent: Unknown
GET {mac}.xml 200
user-agent: Linphonec/5.1.65
GET {mac}.xml 200
