# A 440HD whose DHCP server names http://HOST/;bootstrap.cfg in option 160, which then has an address of its own.
# The order is the one of the administrator's manual (LTRT-11950, p. 41 and 48), not of a capture; that the phone comes
# back at once and not at its next poll is inferred. The User-Agent was recorded by FusionPBX.
model: audiocodes-440hd
mac: 00908f602aac
user-agent: AUDC-IPPhone/2.2.8.61 (440HDG-Rev0; 00908F602AAC)
GET 440HD.img 404
GET bootstrap.cfg 200
GET ca.pem 200
GET 440HD.img 404
GET {MAC}.cfg 200
