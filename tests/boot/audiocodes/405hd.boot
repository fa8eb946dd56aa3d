# First boot of a factory 405HD that no DHCP server told an address, once its redirect server is this one.
# The order is the one of the administrator's manual (LTRT-11950, p. 41: the firmware image first, then the
# configuration) and of the redirection (LTRT-09960, p. 208), not of a capture. When the phone loads the CA that the
# configuration names is not documented. There is no firmware for the model here.
model: audiocodes-405hd
mac: 00908f112233
user-agent: AUDC/3.4.6.604 AUDC-IPPhone-405HD_UC_3.4.6.604/1
GET {MAC} 302
GET 405HD.img 404
GET {MAC}.cfg 200
GET ca.pem 200
