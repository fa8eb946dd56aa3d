# First boot of a 320HD whose DHCP server names this server in option 66 or 160, without a name of a file.
# Inferred, for no capture of such a phone is known: the order is that of the 420HD (LTRT-11950, p. 41), which shares a
# manual with it; the names of the files are those of sipXecs; the User-Agent is that of a 420HD with 2.0.0.
# There is no firmware for the model here.
model: audiocodes-320hd
mac: 00908f112244
user-agent: AUDC-IPPhone/2.0.0_build_15 (320HD; 00908F112244)
GET 320HD.img 404
GET {mac}.cfg 200
