{"version":1,"rows":4,"columns":[
{"name":"spend_1h","count":4,"missing":0,"bins":{"numbers":{"edges":[0.5,1.0,2.0],"counts":[0,2,2,0],"coarse":[0,1,2,3]}}},
{"name":"ok","count":4,"missing":0,"bins":{"booleans":{"names":["false","true"],"counts":[1,3,0]}}}],
"scores":{"name":"score","count":4,"missing":0,"bins":{"numbers":{"edges":[0.1,0.5],"counts":[0,4,0],"coarse":[0,1,2]}}}}
